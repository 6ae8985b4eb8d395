class ItemsController < ApplicationController
  skip_before_action :verify_authenticity_token

  def index
    @items = Item.where("title LIKE '%#{params[:q]}%'")
  end

  def safe_index
    @items = Item.where("title LIKE ?", "%#{params[:q]}%")
  end

  def update
    @item = Item.find(params[:id])
    @item.update(params.require(:item).permit!)
  end

  def safe_update
    @item = Item.find(params[:id])
    @item.update(params.require(:item).permit(:title, :price))
  end

  def backup
    system("tar czf /backup/#{params[:name]}.tgz /srv/shop")
    system("tar", "czf", "/backup/shop.tgz", "/srv/shop")
  end

  def restore
    @cart = Marshal.load(Base64.decode64(cookies[:cart]))
    @settings = JSON.parse(cookies[:settings])
  end

  def manual
    send_file Rails.root.join("manuals", params[:name])
  end

  def done
    redirect_to item_path(params[:id])
  end
end
